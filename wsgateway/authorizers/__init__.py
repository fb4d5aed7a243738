"""Who may do what: one file per kind of authorizer, and the policies they speak."""
