package azuremonitor

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/microsoft/ApplicationInsights-Go/appinsights/contracts"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// traceEnvelopes makes one envelope a span, and one an event where events are wanted.
func traceEnvelopes(traces ptrace.Traces, events bool) []*contracts.Envelope {
	var all []*contracts.Envelope
	for _, group := range traces.ResourceSpans().All() {
		resource := group.Resource()
		for _, scope := range group.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				all = append(all, spanEnvelope(span, resource))
				if !events {
					continue
				}
				for _, event := range span.Events().All() {
					all = append(all, eventEnvelope(event, span, resource))
				}
			}
		}
	}
	return all
}

// spanEnvelope makes a request of what the service answered, a dependency of everything else.
func spanEnvelope(span ptrace.Span, resource pcommon.Resource) *contracts.Envelope {
	attributes := span.Attributes()
	status, success := outcome(span)
	incoming := span.Kind() == ptrace.SpanKindServer || span.Kind() == ptrace.SpanKindConsumer
	var item telemetry
	name := operation(span, incoming)
	if incoming {
		request := contracts.NewRequestData()
		request.Id = span.SpanID().String()
		request.Name = name
		request.Duration = duration(span.StartTimestamp(), span.EndTimestamp())
		request.ResponseCode = status
		request.Success = success
		request.Source = text(attributes, "client.address", "http.client_ip", "net.peer.name")
		request.Url = address(attributes)
		request.Properties = properties(resource.Attributes(), attributes)
		item = request
	} else {
		dependency := contracts.NewRemoteDependencyData()
		dependency.Id = span.SpanID().String()
		dependency.Name = name
		dependency.Duration = duration(span.StartTimestamp(), span.EndTimestamp())
		dependency.ResultCode = status
		dependency.Success = success
		dependency.Type = kind(attributes)
		dependency.Target = target(attributes)
		dependency.Data = text(attributes, "url.full", "http.url", "db.query.text", "db.statement")
		dependency.Properties = properties(resource.Attributes(), attributes)
		item = dependency
	}
	envelope := wrap(item, span.StartTimestamp(), resource)
	correlate(envelope, span.TraceID(), span.ParentSpanID())
	if incoming {
		tag(envelope, contracts.OperationName, name)
	}
	return envelope
}

func eventEnvelope(event ptrace.SpanEvent, span ptrace.Span, resource pcommon.Resource) *contracts.Envelope {
	more := properties(resource.Attributes(), event.Attributes())
	var item telemetry
	if event.Name() == "exception" {
		item = exception(event.Attributes(), more)
	} else {
		message := contracts.NewMessageData()
		message.Message = event.Name()
		message.Properties = more
		item = message
	}
	envelope := wrap(item, event.Timestamp(), resource)
	correlate(envelope, span.TraceID(), span.SpanID())
	return envelope
}

// outcome is the result code and whether it is a good one. A span without a status has "0".
func outcome(span ptrace.Span) (code string, success bool) {
	failed := span.Status().Code() == ptrace.StatusCodeError
	code = text(span.Attributes(), "http.response.status_code", "http.status_code", "rpc.grpc.status_code")
	if code == "" {
		return "0", !failed
	}
	number, err := strconv.Atoi(code)
	return code, !failed && err == nil && number < 400
}

// operation is `GET /path/{pattern}` for an HTTP request with a known route, else the span's name.
func operation(span ptrace.Span, incoming bool) string {
	method := text(span.Attributes(), "http.request.method", "http.method")
	route := text(span.Attributes(), "http.route")
	if incoming && method != "" && route != "" {
		if strings.HasPrefix(route, method+" ") {
			return route
		}
		return method + " " + route
	}
	return span.Name()
}

// address is the full URL of an incoming request, put together from the conventions old and new.
func address(attributes pcommon.Map) string {
	if full := text(attributes, "url.full", "http.url"); full != "" {
		return full
	}
	host := text(attributes, "server.address", "http.host", "net.host.name")
	if host == "" {
		return ""
	}
	if port := text(attributes, "server.port", "net.host.port"); port != "" && !strings.Contains(host, ":") {
		host += ":" + port
	}
	path := text(attributes, "url.path", "http.target")
	if query := text(attributes, "url.query"); query != "" {
		path += "?" + query
	}
	return text(attributes, "url.scheme", "http.scheme") + "://" + host + path
}

func kind(attributes pcommon.Map) string {
	if text(attributes, "http.request.method", "http.method") != "" {
		return "HTTP"
	}
	if system := text(attributes, "rpc.system", "db.system.name", "db.system", "messaging.system"); system != "" {
		return system
	}
	return "InProc"
}

func target(attributes pcommon.Map) string {
	if full, err := url.Parse(text(attributes, "url.full", "http.url")); err == nil && full.Host != "" {
		return full.Host
	}
	return text(attributes, "server.address", "net.peer.name", "peer.service")
}
