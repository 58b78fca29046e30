"""Oracle's chat API (`/20231130/actions/chat`) to and from chat completions, in each of its three formats."""
