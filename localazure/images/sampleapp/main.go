// Command shop is the sample app of localazure: a small web server with the official OpenTelemetry
// SDK, which tells a greeting and the time, and stops when asked to.
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.opentelemetry.io/otel"
)

const name = "shop"

func main() {
	greeting := flag.String("greeting", "Hello", "what / answers first")
	flag.Parse()
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	otel.SetErrorHandler(&seldom{})
	telemetry, err := startTelemetry(stop)
	if err != nil {
		slog.Error("no telemetry", "error", err)
		os.Exit(1)
	}
	logger := newLogger()
	if err := serve(stop, logger, telemetry, *greeting); err != nil {
		logger.Error("stopped", "error", err)
		os.Exit(1)
	}
}

// serve answers until stop is done, then lets requests end and delivers the rest of the telemetry.
func serve(stop context.Context, logger *slog.Logger, telemetry *pipelines, greeting string) error {
	handler, err := routes(logger, telemetry, greeting)
	if err != nil {
		return err
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	logger.Info("listening", "port", port, "pid", os.Getpid())
	select {
	case err := <-ended:
		return err
	case <-stop.Done():
	}
	logger.Info("stopping")
	// App Service waits 5 s (WEBSITES_CONTAINER_STOP_TIME_LIMIT) before it kills.
	soon, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(soon); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if err := telemetry.stop(soon); err != nil {
		logger.Warn("telemetry was lost", "error", err)
	}
	return nil
}
