"""Energy terms that stand beside a net: what it need not learn."""
