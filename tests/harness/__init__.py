"""The test harness: cases are found, each runs in a worker process of its own, and is judged."""
