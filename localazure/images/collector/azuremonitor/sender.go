package azuremonitor

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/microsoft/ApplicationInsights-Go/appinsights/contracts"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
)

// leaving is how long a batch takes to leave. The real exporter loses what arrives right before a
// stop, and nothing that arrived 0.25 s earlier (of which the batch processor may take 0.2 s);
// with this delay the double loses the same every time instead of by luck.
const leaving = 25 * time.Millisecond

// pauses are those between attempts; after the last the batch is given up.
var pauses = []time.Duration{time.Second, 3 * time.Second, 10 * time.Second}

// sender posts envelopes in the background, a goroutine for each batch.
type sender struct {
	config *Config
	logger *zap.Logger
	to     connection
	client *http.Client
	life   context.Context
	end    context.CancelFunc
	posts  sync.WaitGroup
}

func newSender(config *Config, logger *zap.Logger) *sender {
	life, end := context.WithCancel(context.Background())
	return &sender{config: config, logger: logger, client: &http.Client{}, life: life, end: end}
}

func (s *sender) start(context.Context, component.Host) error {
	to, err := connect(s.config)
	if err != nil {
		return err
	}
	if !here(to.url) {
		s.logger.Warn("this double of azuremonitor sends nothing to other machines", zap.String("host", to.url.Host))
	}
	s.to = to
	return nil
}

// shutdown drops what hasn't left yet, as was seen of the real exporter.
func (s *sender) shutdown(context.Context) error {
	s.end()
	s.posts.Wait()
	return nil
}

func (s *sender) traces(_ context.Context, traces ptrace.Traces) error {
	return s.send(traceEnvelopes(traces, s.config.SpanEventsEnabled))
}

func (s *sender) logs(_ context.Context, logs plog.Logs) error {
	return s.send(logEnvelopes(logs))
}

func (s *sender) metrics(_ context.Context, metrics pmetric.Metrics) error {
	return s.send(metricEnvelopes(metrics))
}

func (s *sender) send(envelopes []*contracts.Envelope) error {
	if len(envelopes) == 0 || s.to.url == nil || !here(s.to.url) {
		return nil
	}
	body, err := s.pack(envelopes)
	if err != nil {
		return err
	}
	s.posts.Add(1)
	go func() {
		defer s.posts.Done()
		s.deliver(body, len(envelopes))
	}()
	return nil
}

// pack makes one gzipped JSON document a line.
func (s *sender) pack(envelopes []*contracts.Envelope) ([]byte, error) {
	var body bytes.Buffer
	zipped := gzip.NewWriter(&body)
	lines := json.NewEncoder(zipped)
	for _, envelope := range envelopes {
		envelope.IKey = s.to.key
		if err := lines.Encode(envelope); err != nil {
			return nil, err
		}
	}
	if err := zipped.Close(); err != nil {
		return nil, err
	}
	return body.Bytes(), nil
}

func (s *sender) deliver(body []byte, count int) {
	wait := leaving
	for attempt := 0; ; attempt++ {
		select {
		case <-s.life.Done():
			return
		case <-time.After(wait):
		}
		again, err := s.post(body)
		if err == nil || s.life.Err() != nil {
			return
		}
		if !again || attempt == len(pauses) {
			s.logger.Error("telemetry dropped", zap.Int("envelopes", count), zap.Error(err))
			return
		}
		wait = pauses[attempt]
	}
}

// post sends once; again tells whether a failure may pass.
func (s *sender) post(body []byte) (again bool, err error) {
	request, err := http.NewRequestWithContext(s.life, http.MethodPost, s.to.url.String(), bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	request.Header.Set("Content-Type", "application/x-json-stream")
	request.Header.Set("Content-Encoding", "gzip")
	response, err := s.client.Do(request)
	if err != nil {
		return true, err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	switch status := response.StatusCode; {
	case status < 300:
		return false, nil
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		return true, fmt.Errorf("the ingestion endpoint answered %d", status)
	default:
		return false, fmt.Errorf("the ingestion endpoint answered %d", status)
	}
}
