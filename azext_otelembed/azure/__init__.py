"""Azure Resource Manager: the session, sites, components and registries."""
