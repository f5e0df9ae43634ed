package azuremonitor

import (
	"fmt"
	"strings"
	"time"

	"github.com/microsoft/ApplicationInsights-Go/appinsights/contracts"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// telemetry is what every contract offers that goes into an envelope.
type telemetry interface {
	EnvelopeName(key string) string
	BaseType() string
	Sanitize() []string
}

// wrap puts one item of telemetry, made at a time by a resource, into an envelope.
func wrap(item telemetry, at pcommon.Timestamp, resource pcommon.Resource) *contracts.Envelope {
	item.Sanitize()
	data := contracts.NewData()
	data.BaseType = item.BaseType()
	data.BaseData = item
	envelope := contracts.NewEnvelope()
	envelope.Name = item.EnvelopeName("")
	envelope.Time = at.AsTime().Format(time.RFC3339Nano)
	envelope.Data = data
	// As upstream's exporter: "otelc-" and a version.
	envelope.Tags = map[string]string{contracts.InternalSdkVersion: "otelc-localazure"}
	tag(envelope, contracts.CloudRole, role(resource.Attributes()))
	tag(envelope, contracts.CloudRoleInstance, text(resource.Attributes(), "service.instance.id"))
	return envelope
}

func tag(envelope *contracts.Envelope, name, value string) {
	if value != "" {
		envelope.Tags[name] = value
	}
}

// correlate ties the envelope to an operation: a trace and the span that is its parent there.
func correlate(envelope *contracts.Envelope, trace pcommon.TraceID, parent pcommon.SpanID) {
	if !trace.IsEmpty() {
		tag(envelope, contracts.OperationId, trace.String())
	}
	if !parent.IsEmpty() {
		tag(envelope, contracts.OperationParentId, parent.String())
	}
}

// role is service.namespace.service.name, or service.name where there is no namespace.
func role(attributes pcommon.Map) string {
	name := text(attributes, "service.name")
	if space := text(attributes, "service.namespace"); space != "" {
		return space + "." + name
	}
	return name
}

// text is the first of the named attributes that is there, as a string; "" where none is.
func text(attributes pcommon.Map, names ...string) string {
	for _, name := range names {
		if value, found := attributes.Get(name); found {
			return value.AsString()
		}
	}
	return ""
}

// properties are all attributes as strings; of equal names the later map's value counts.
func properties(maps ...pcommon.Map) map[string]string {
	all := map[string]string{}
	for _, each := range maps {
		for name, value := range each.All() {
			all[name] = value.AsString()
		}
	}
	return all
}

// duration is D.HH:MM:SS.ffffff, as Application Insights writes it.
func duration(from, to pcommon.Timestamp) string {
	spent := max(to.AsTime().Sub(from.AsTime()), 0)
	day := 24 * time.Hour
	rest := spent % day
	return fmt.Sprintf("%d.%02d:%02d:%02d.%06d", spent/day, rest/time.Hour,
		rest%time.Hour/time.Minute, rest%time.Minute/time.Second, rest%time.Second/time.Microsecond)
}

// exception is the telemetry for an event or log record with the exception.* attributes.
func exception(attributes pcommon.Map, more map[string]string) *contracts.ExceptionData {
	details := contracts.NewExceptionDetails()
	details.TypeName = text(attributes, "exception.type")
	details.Message = text(attributes, "exception.message")
	details.Stack = text(attributes, "exception.stacktrace")
	details.HasFullStack = details.Stack != ""
	data := contracts.NewExceptionData()
	data.Exceptions = []*contracts.ExceptionDetails{details}
	data.SeverityLevel = contracts.Error
	data.ProblemId = strings.TrimSpace(details.TypeName)
	data.Properties = more
	return data
}
