package main

import (
	"context"
	"errors"
	"os"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	logapi "go.opentelemetry.io/otel/log/global"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

// defaults hold unless the environment says otherwise: the collector beside the app, which listens
// without TLS, and export intervals in milliseconds, short so that a demo is quick.
var defaults = map[string]string{
	"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318",
	"OTEL_BSP_SCHEDULE_DELAY":     "500",
	"OTEL_BLRP_SCHEDULE_DELAY":    "500",
	"OTEL_METRIC_EXPORT_INTERVAL": "2000",
}

// pipelines are the SDK's three; each sends over OTLP/HTTP.
type pipelines struct {
	traces  *trace.TracerProvider
	metrics *metric.MeterProvider
	logs    *log.LoggerProvider
}

// startTelemetry sets the SDK up and registers it. A collector that isn't there is no error, then or
// later: exports fail and are reported by the SDK's error handler.
func startTelemetry(ctx context.Context) (*pipelines, error) {
	for name, value := range defaults {
		if _, given := os.LookupEnv(name); !given {
			if err := os.Setenv(name, value); err != nil {
				return nil, err
			}
		}
	}
	// Without the SDK's default resource: its service.name (unknown_service:shop) would keep the
	// collector from filling in the site's name.
	about, err := resource.New(ctx, resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return nil, err
	}
	tracesOut, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, err
	}
	metricsOut, err := otlpmetrichttp.New(ctx)
	if err != nil {
		return nil, err
	}
	logsOut, err := otlploghttp.New(ctx)
	if err != nil {
		return nil, err
	}
	all := &pipelines{
		traces: trace.NewTracerProvider(trace.WithResource(about), trace.WithBatcher(tracesOut)),
		metrics: metric.NewMeterProvider(
			metric.WithResource(about), metric.WithReader(metric.NewPeriodicReader(metricsOut)),
		),
		logs: log.NewLoggerProvider(
			log.WithResource(about), log.WithProcessor(log.NewBatchProcessor(logsOut)),
		),
	}
	otel.SetTracerProvider(all.traces)
	otel.SetMeterProvider(all.metrics)
	logapi.SetLoggerProvider(all.logs)
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(
		propagation.TraceContext{}, propagation.Baggage{},
	))
	return all, nil
}

// stop delivers what is left, within the context's time.
func (p *pipelines) stop(ctx context.Context) error {
	return errors.Join(p.traces.Shutdown(ctx), p.metrics.Shutdown(ctx), p.logs.Shutdown(ctx))
}
