package main

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/bridges/otelslog"
)

// both hands every record to stdout, which App Service keeps, and to OpenTelemetry.
type both struct{ stdout, otlp slog.Handler }

func newLogger() *slog.Logger {
	return slog.New(both{slog.NewTextHandler(os.Stdout, nil), otelslog.NewHandler(name)})
}

func (b both) Enabled(ctx context.Context, level slog.Level) bool {
	return b.stdout.Enabled(ctx, level) || b.otlp.Enabled(ctx, level)
}

func (b both) Handle(ctx context.Context, record slog.Record) error {
	if err := b.stdout.Handle(ctx, record.Clone()); err != nil {
		return err
	}
	return b.otlp.Handle(ctx, record)
}

func (b both) WithAttrs(attributes []slog.Attr) slog.Handler {
	return both{b.stdout.WithAttrs(attributes), b.otlp.WithAttrs(attributes)}
}

func (b both) WithGroup(name string) slog.Handler {
	return both{b.stdout.WithGroup(name), b.otlp.WithGroup(name)}
}

// seldom prints the SDK's errors, such as a collector that isn't there, at most once a minute. It
// writes to stdout alone: an export error that is exported makes the next one.
type seldom struct {
	lock sync.Mutex
	last time.Time
}

func (s *seldom) Handle(err error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if time.Since(s.last) < time.Minute {
		return
	}
	s.last = time.Now()
	slog.New(slog.NewTextHandler(os.Stdout, nil)).Warn("telemetry", "error", err)
}
