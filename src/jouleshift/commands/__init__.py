"""Commands by what they are about; `cli` puts them together. Imports as late as possible."""
