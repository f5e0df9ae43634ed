package azuremonitor

import (
	"github.com/microsoft/ApplicationInsights-Go/appinsights/contracts"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// metricEnvelopes makes one metric a data point: a measurement of a number, an aggregation of a
// distribution.
func metricEnvelopes(metrics pmetric.Metrics) []*contracts.Envelope {
	var all []*contracts.Envelope
	for _, group := range metrics.ResourceMetrics().All() {
		for _, scope := range group.ScopeMetrics().All() {
			for _, metric := range scope.Metrics().All() {
				all = append(all, dataPoints(metric, group.Resource())...)
			}
		}
	}
	return all
}

func dataPoints(metric pmetric.Metric, resource pcommon.Resource) []*contracts.Envelope {
	var all []*contracts.Envelope
	add := func(point *contracts.DataPoint, attributes pcommon.Map, at pcommon.Timestamp) {
		point.Name = metric.Name()
		data := contracts.NewMetricData()
		data.Metrics = []*contracts.DataPoint{point}
		data.Properties = properties(resource.Attributes(), attributes)
		all = append(all, wrap(data, at, resource))
	}
	numbers := func(points pmetric.NumberDataPointSlice) {
		for _, point := range points.All() {
			value := point.DoubleValue()
			if point.ValueType() == pmetric.NumberDataPointValueTypeInt {
				value = float64(point.IntValue())
			}
			one := &contracts.DataPoint{Kind: contracts.Measurement, Value: value, Count: 1}
			add(one, point.Attributes(), point.Timestamp())
		}
	}
	aggregation := func(sum, least, most float64, count uint64) *contracts.DataPoint {
		return &contracts.DataPoint{
			Kind: contracts.Aggregation, Value: sum, Min: least, Max: most, Count: int(count),
		}
	}
	switch metric.Type() {
	case pmetric.MetricTypeGauge:
		numbers(metric.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		numbers(metric.Sum().DataPoints())
	case pmetric.MetricTypeHistogram:
		for _, point := range metric.Histogram().DataPoints().All() {
			one := aggregation(point.Sum(), point.Min(), point.Max(), point.Count())
			add(one, point.Attributes(), point.Timestamp())
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, point := range metric.ExponentialHistogram().DataPoints().All() {
			one := aggregation(point.Sum(), point.Min(), point.Max(), point.Count())
			add(one, point.Attributes(), point.Timestamp())
		}
	case pmetric.MetricTypeSummary:
		for _, point := range metric.Summary().DataPoints().All() {
			one := aggregation(point.Sum(), 0, 0, point.Count())
			add(one, point.Attributes(), point.Timestamp())
		}
	}
	return all
}
