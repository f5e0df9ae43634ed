package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
)

// routes are the pages; /health is left out of the telemetry.
func routes(logger *slog.Logger, telemetry *pipelines, greeting string) (http.Handler, error) {
	tracer := otel.Tracer(name)
	greeted, err := otel.Meter(name).Int64Counter("shop.greetings",
		metric.WithDescription("How often the shop greeted a visitor."))
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		ctx, span := tracer.Start(r.Context(), "tell the time")
		now := time.Now().UTC().Format(time.RFC3339)
		span.End()
		greeted.Add(ctx, 1)
		logger.InfoContext(r.Context(), "greeted", "time", now)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "%s from the shop. It is %s.\n", greeting, now)
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	if os.Getenv("SAMPLE_DIAGNOSTICS") == "1" {
		diagnostics(mux, telemetry)
	}
	instrumented := otelhttp.NewHandler(logged(logger, mux), name,
		otelhttp.WithFilter(func(r *http.Request) bool { return r.URL.Path != "/health" }),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string {
			if r.Pattern != "" {
				return r.Pattern
			}
			return r.Method
		}),
	)
	return instrumented, nil
}

// logged writes a line for each request answered, but for health checks.
func logged(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			next.ServeHTTP(w, r)
			return
		}
		began := time.Now()
		answer := &watched{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(answer, r)
		logger.InfoContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path,
			"status", answer.status, "took", time.Since(began).String())
	})
}

// watched remembers the status that was written.
type watched struct {
	http.ResponseWriter
	status int
}

func (w *watched) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
