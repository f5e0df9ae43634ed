"""Azure Resource Manager and the resource providers that a web app needs.

`app.make(world)` is the management endpoint, `scm.make(world, site)` a site's Kudu. Shapes, headers
and error bodies follow recordings of the real service.
"""
