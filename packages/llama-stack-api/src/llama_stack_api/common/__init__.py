"""Types that several APIs share, under the paths that `llama-stack-api` 0.7 gave them."""
