// Package azuremonitor is a double of the collector's azuremonitor exporter, which localazure's
// collector carries because the real one isn't to be had as a Go module here. It is not Microsoft's
// and not the OpenTelemetry project's, and it sends to this machine only.
//
// It takes the real one's configuration and keeps what was seen of its behaviour: the environment
// variable APPLICATIONINSIGHTS_CONNECTION_STRING wins over connection_string, a connection string
// that isn't exactly right ends the collector at start, an endpoint that can't be parsed means the
// public one, each batch is posted as soon as it arrives, and a stop loses what hasn't left yet. A
// batch that is refused stays in memory for its attempts; then it is dropped, which only the log of
// level debug says (inmemorychannel.go and transmitter.go of ApplicationInsights-Go 0.4.4).
package azuremonitor

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

// Config has the keys of the real exporter (exporter/azuremonitorexporter/config.go of
// opentelemetry-collector-contrib); those about batching, events and stopping change nothing here.
// Since 0.139 they include those of an HTTP client (open-telemetry/opentelemetry-collector-contrib#41107).
type Config struct {
	QueueSettings          configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`
	ConnectionString       configopaque.String                                      `mapstructure:"connection_string"`
	InstrumentationKey     configopaque.String                                      `mapstructure:"instrumentation_key"`
	MaxBatchSize           int                                                      `mapstructure:"maxbatchsize"`
	MaxBatchInterval       time.Duration                                            `mapstructure:"maxbatchinterval"`
	SpanEventsEnabled      bool                                                     `mapstructure:"spaneventsenabled"`
	CustomEventsEnabled    bool                                                     `mapstructure:"custom_events_enabled"`
	ExceptionEventsEnabled bool                                                     `mapstructure:"exception_events_enabled"`
	ShutdownTimeout        time.Duration                                            `mapstructure:"shutdown_timeout"`
	ClientConfig           confighttp.ClientConfig                                  `mapstructure:",squash"`
}

// NewFactory makes the exporter known under the name of the real one.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(
		component.MustNewType("azuremonitor"),
		defaults,
		exporter.WithTraces(newTraces, component.StabilityLevelBeta),
		exporter.WithLogs(newLogs, component.StabilityLevelBeta),
		exporter.WithMetrics(newMetrics, component.StabilityLevelBeta),
	)
}

func defaults() component.Config {
	return &Config{
		QueueSettings:    configoptional.Default(exporterhelper.NewDefaultQueueConfig()),
		MaxBatchSize:     1024,
		MaxBatchInterval: 10 * time.Second,
		ShutdownTimeout:  time.Second,
	}
}

func newTraces(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Traces, error) {
	config := cfg.(*Config)
	post := newSender(config, set.TelemetrySettings)
	return exporterhelper.NewTraces(ctx, set, cfg, post.traces, options(config, post)...)
}

func newLogs(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
	config := cfg.(*Config)
	post := newSender(config, set.TelemetrySettings)
	return exporterhelper.NewLogs(ctx, set, cfg, post.logs, options(config, post)...)
}

func newMetrics(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Metrics, error) {
	config := cfg.(*Config)
	post := newSender(config, set.TelemetrySettings)
	return exporterhelper.NewMetrics(ctx, set, cfg, post.metrics, options(config, post)...)
}

func options(config *Config, post *sender) []exporterhelper.Option {
	return []exporterhelper.Option{
		exporterhelper.WithQueue(config.QueueSettings),
		exporterhelper.WithStart(post.start),
		exporterhelper.WithShutdown(post.shutdown),
	}
}
