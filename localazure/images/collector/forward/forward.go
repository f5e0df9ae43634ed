// Package forward is a double of the collector's forward connector, which isn't to be had as a Go
// module here: it passes what a pipeline sends to the pipelines that receive from it.
package forward

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
)

// NewFactory makes the connector known under the name of the real one.
func NewFactory() connector.Factory {
	return connector.NewFactory(
		component.MustNewType("forward"),
		func() component.Config { return &struct{}{} },
		connector.WithTracesToTraces(traces, component.StabilityLevelBeta),
		connector.WithMetricsToMetrics(metrics, component.StabilityLevelBeta),
		connector.WithLogsToLogs(logs, component.StabilityLevelBeta),
	)
}

// always is a component that needs no start and no stop.
type always struct {
	component.StartFunc
	component.ShutdownFunc
}

func traces(_ context.Context, _ connector.Settings, _ component.Config, next consumer.Traces) (connector.Traces, error) {
	return struct {
		always
		consumer.Traces
	}{always{}, next}, nil
}

func metrics(_ context.Context, _ connector.Settings, _ component.Config, next consumer.Metrics) (connector.Metrics, error) {
	return struct {
		always
		consumer.Metrics
	}{always{}, next}, nil
}

func logs(_ context.Context, _ connector.Settings, _ component.Config, next consumer.Logs) (connector.Logs, error) {
	return struct {
		always
		consumer.Logs
	}{always{}, next}, nil
}
