"""The Web API's methods, one family a file."""
