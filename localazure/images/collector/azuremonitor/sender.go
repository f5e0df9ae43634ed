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

// overQuota is the ingestion's status for a quota that is exhausted for a longer time.
const overQuota = 439

// pauses are those between the attempts to post a batch; after the last attempt it is dropped.
var pauses = []time.Duration{10 * time.Second, 30 * time.Second, 60 * time.Second}

// buffered is the number of envelopes that are kept while the channel is throttled.
const buffered = 1024

// sender posts envelopes in the background, a goroutine for each batch.
type sender struct {
	config    *Config
	telemetry component.TelemetrySettings
	logger    *zap.Logger
	to        connection
	client    *http.Client
	life      context.Context
	end       context.CancelFunc
	posts     sync.WaitGroup

	lock sync.Mutex
	// throttled is the end of the latest Retry-After that was a date, waiting what is kept until then.
	throttled time.Time
	waiting   int
}

func newSender(config *Config, telemetry component.TelemetrySettings) *sender {
	life, end := context.WithCancel(context.Background())
	return &sender{config: config, telemetry: telemetry, logger: telemetry.Logger, life: life, end: end}
}

func (s *sender) start(ctx context.Context, host component.Host) error {
	to, err := connect(s.config)
	if err != nil {
		return err
	}
	if s.client, err = s.config.ClientConfig.ToClient(ctx, host.GetExtensions(), s.telemetry); err != nil {
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
	for _, envelope := range envelopes {
		envelope.IKey = s.to.key
	}
	throttle, kept := s.keep(len(envelopes))
	if !kept {
		s.logger.Debug("envelopes dropped while throttled", zap.Int("envelopes", len(envelopes)))
		return nil
	}
	body, err := lines(envelopes)
	if err != nil {
		return err
	}
	s.posts.Add(1)
	go func() {
		defer s.posts.Done()
		s.deliver(envelopes, body, throttle)
	}()
	return nil
}

// keep tells whether envelopes are sent, and how long they wait: while the channel is throttled, it
// keeps one buffer of them.
func (s *sender) keep(count int) (time.Duration, bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	throttle := time.Until(s.throttled)
	if throttle <= 0 {
		s.waiting = 0
		return 0, true
	}
	if s.waiting+count > buffered {
		return 0, false
	}
	s.waiting += count
	return throttle, true
}

// lines makes one JSON document a line.
func lines(envelopes []*contracts.Envelope) ([]byte, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	for _, envelope := range envelopes {
		if err := encoder.Encode(envelope); err != nil {
			return nil, err
		}
	}
	return body.Bytes(), nil
}

// deliver posts a batch until it is accepted. Like the real channel, it keeps the envelopes
// themselves as well until then.
func (s *sender) deliver(envelopes []*contracts.Envelope, body []byte, throttle time.Duration) {
	wait := leaving + throttle
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
			s.logger.Debug("telemetry dropped", zap.Int("envelopes", len(envelopes)), zap.Error(err))
			return
		}
		wait = pauses[attempt]
	}
}

// post sends once; again tells whether a failure may pass.
func (s *sender) post(body []byte) (again bool, err error) {
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	if _, err := writer.Write(body); err != nil {
		return false, err
	}
	if err := writer.Close(); err != nil {
		return false, err
	}
	request, err := http.NewRequestWithContext(s.life, http.MethodPost, s.to.url.String(), &packed)
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
	if response.StatusCode < 300 {
		return false, nil
	}
	again = s.throttle(response.Header.Get("Retry-After"))
	switch response.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, overQuota,
		http.StatusInternalServerError, http.StatusServiceUnavailable:
		again = true
	}
	return again, fmt.Errorf("the ingestion endpoint answered %d", response.StatusCode)
}

// throttle stops the channel until the date of a Retry-After; it ignores a number of seconds.
func (s *sender) throttle(value string) bool {
	until, err := time.Parse(time.RFC1123, value)
	if err != nil {
		return false
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	if until.After(s.throttled) {
		s.throttled = until
	}
	return true
}
