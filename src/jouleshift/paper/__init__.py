"""The paper by name: its six studies as presets, its published values as data, ours printed beside them."""
