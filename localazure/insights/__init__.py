"""Application Insights: ingestion and query."""
