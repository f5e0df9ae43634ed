"""Azure Resource Manager and the resource providers that a web app needs.

`app.make(double)` is the management endpoint, `scm.make(double, site)` a site's Kudu. JSON, headers
and error bodies follow recordings of the real service.
"""
