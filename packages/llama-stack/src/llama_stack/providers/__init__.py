"""The providers, one file each under the API that they serve, found by their descriptors and never imported by name."""
