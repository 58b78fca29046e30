"""Providers of five APIs, as packages for llama-stack-api 0.7 are written."""
