"""What of a site's telemetry has arrived in Application Insights."""
