"""The node's own OAuth 2.1, OpenID Connect and SMART authorisation server: rules and flows over a registry."""
