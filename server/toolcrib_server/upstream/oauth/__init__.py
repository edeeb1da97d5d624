"""Logs in at upstream servers that demand it: OAuth 2.1, as the authorization specification says.

The flow itself (discovery, registration, PKCE, issuer and resource checks, scopes) is the SDK's.
"""
