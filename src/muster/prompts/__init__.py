"""What Muster says to models. Every byte here is paid for on every model call; `bench/` counts them."""
