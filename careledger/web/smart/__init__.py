"""HTTP of the authorisation server: OAuth end points for programs, pages for people."""
