"""Two providers: `inline::echo`, found by entry point, and `inline::shout`, found by `module:` alone."""
