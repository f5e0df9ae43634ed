package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"

	"go.opentelemetry.io/otel"
)

// diagnostics adds what only tests ask: who the process is, what it was given, and spans on demand.
// None of it shows the environment, which holds secrets.
func diagnostics(mux *http.ServeMux, telemetry *pipelines) {
	mux.HandleFunc("GET /pid", func(w http.ResponseWriter, _ *http.Request) {
		folder, err := os.Getwd()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer(w, map[string]any{
			"pid": os.Getpid(), "ppid": os.Getppid(),
			"uid": os.Getuid(), "gid": os.Getgid(), "cwd": folder,
		})
	})
	mux.HandleFunc("GET /args", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, os.Args)
	})
	// Answers when the collector has all n spans, so a test knows whose they are to lose.
	mux.HandleFunc("GET /spans", func(w http.ResponseWriter, r *http.Request) {
		count, err := strconv.Atoi(r.URL.Query().Get("n"))
		if err != nil || count < 1 || count > 10000 {
			http.Error(w, "n must be a number from 1 to 10000", http.StatusBadRequest)
			return
		}
		tracer := otel.Tracer(name)
		for i := range count {
			_, span := tracer.Start(r.Context(), fmt.Sprintf("diagnostic %d", i+1))
			span.End()
		}
		if err := telemetry.traces.ForceFlush(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		answer(w, map[string]int{"spans": count})
	})
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	// A client that has gone away is nothing to report here.
	_ = json.NewEncoder(w).Encode(value)
}
