"""Physical energy terms beside a net, which it need not learn."""
