"""Number formats as pure functions on tensors: powers of two for weights, fixed point for activations."""
