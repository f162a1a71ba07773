"""Networks and images to recordings, tasks and a compiled study."""
