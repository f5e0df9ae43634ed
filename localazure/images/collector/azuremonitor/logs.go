package azuremonitor

import (
	"github.com/microsoft/ApplicationInsights-Go/appinsights/contracts"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// logEnvelopes makes one message a log record, or an exception where the record tells of one.
func logEnvelopes(logs plog.Logs) []*contracts.Envelope {
	var all []*contracts.Envelope
	for _, group := range logs.ResourceLogs().All() {
		for _, scope := range group.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				all = append(all, logEnvelope(record, group.Resource()))
			}
		}
	}
	return all
}

func logEnvelope(record plog.LogRecord, resource pcommon.Resource) *contracts.Envelope {
	more := properties(resource.Attributes(), record.Attributes())
	var item telemetry
	if text(record.Attributes(), "exception.type", "exception.message") != "" {
		item = exception(record.Attributes(), more)
	} else {
		message := contracts.NewMessageData()
		message.Message = record.Body().AsString()
		message.SeverityLevel = severity(record.SeverityNumber())
		message.Properties = more
		item = message
	}
	at := record.Timestamp()
	if at == 0 {
		at = record.ObservedTimestamp()
	}
	envelope := wrap(item, at, resource)
	correlate(envelope, record.TraceID(), record.SpanID())
	return envelope
}

func severity(number plog.SeverityNumber) contracts.SeverityLevel {
	switch {
	case number >= plog.SeverityNumberFatal:
		return contracts.Critical
	case number >= plog.SeverityNumberError:
		return contracts.Error
	case number >= plog.SeverityNumberWarn:
		return contracts.Warning
	case number >= plog.SeverityNumberInfo:
		return contracts.Information
	default:
		return contracts.Verbose
	}
}
