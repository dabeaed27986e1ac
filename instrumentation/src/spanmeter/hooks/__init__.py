"""What each HTTP library is told to do before it sends a request. Loaded with the library."""
