package azuremonitor

import (
	"errors"
	"net"
	"net/url"
	"os"
	"strings"
)

const (
	variable       = "APPLICATIONINSIGHTS_CONNECTION_STRING"
	publicEndpoint = "https://dc.services.visualstudio.com/"
	longest        = 4096
)

// connection is where telemetry goes: the key of the component and the full URL to post to.
type connection struct {
	key string
	url *url.URL
}

// connect reads the connection string as strictly as the real exporter does. Errors never repeat it.
func connect(config *Config) (connection, error) {
	text := os.Getenv(variable)
	if text == "" {
		text = string(config.ConnectionString)
	}
	if text == "" {
		if config.InstrumentationKey == "" {
			return connection{}, errors.New("neither a connection string nor an instrumentation key is given")
		}
		return connection{string(config.InstrumentationKey), track(config.ClientConfig.Endpoint)}, nil
	}
	if len(text) > longest {
		return connection{}, errors.New("the connection string is longer than 4096 characters")
	}
	parts := map[string]string{}
	for _, part := range strings.Split(text, ";") {
		name, value, found := strings.Cut(part, "=")
		name = strings.TrimSpace(name)
		if !found {
			return connection{}, errors.New("invalid connection string: a part is not of the form name=value")
		}
		if name == "" {
			return connection{}, errors.New("invalid connection string: a part has no name")
		}
		parts[name] = strings.TrimSpace(value)
	}
	if parts["InstrumentationKey"] == "" {
		return connection{}, errors.New("invalid connection string: InstrumentationKey is required")
	}
	return connection{parts["InstrumentationKey"], track(parts["IngestionEndpoint"])}, nil
}

// track is the URL to post to below endpoint; below the public one where endpoint is no URL.
func track(endpoint string) *url.URL {
	parsed, err := url.Parse(endpoint)
	if endpoint == "" || err != nil {
		parsed, _ = url.Parse(publicEndpoint)
	}
	return parsed.JoinPath("v2.1/track")
}

// here tells whether the address is on this machine. A double sends nowhere else.
func here(address *url.URL) bool {
	if address.Hostname() == "localhost" {
		return true
	}
	ip := net.ParseIP(address.Hostname())
	return ip != nil && ip.IsLoopback()
}
