"""Small apps without telemetry, one for each part of docs/apps.md: GET /orders/7 logs a warning."""

from __future__ import annotations

from collections.abc import Mapping

LOGGED = "order 7 is late"

_DJANGO_SETTINGS = """
SECRET_KEY = "not-a-secret"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop.urls"
"""
_DJANGO_URLS = f"""
import logging
from django.http import HttpResponse
from django.urls import path

def order(request, number):
    logging.getLogger(__name__).warning("{LOGGED}")
    return HttpResponse("late")

urlpatterns = [path("orders/<int:number>", order), path("", lambda request: HttpResponse("shop"))]
"""
_DJANGO_WSGI = """
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"""
_FLASK = f"""
import logging
from flask import Flask
app = Flask(__name__)

@app.get("/")
def home():
    return "shop"

@app.get("/orders/<int:number>")
def order(number):
    logging.getLogger(__name__).warning("{LOGGED}")
    return "late"
"""
_FASTAPI = f"""
import logging
from fastapi import FastAPI
app = FastAPI()

@app.get("/")
def home():
    return "shop"

@app.get("/orders/{{number}}")
def order(number: int):
    logging.getLogger(__name__).warning("{LOGGED}")
    return "late"
"""
PYTHON: Mapping[str, Mapping[str, str]] = {
    "Flask": {"app.py": _FLASK},
    "Django": {
        "shop/__init__.py": "",
        "shop/settings.py": _DJANGO_SETTINGS,
        "shop/urls.py": _DJANGO_URLS,
        "shop/wsgi.py": _DJANGO_WSGI,
    },
    "FastAPI": {"app.py": _FASTAPI},
}
PYTHON_PACKAGES: Mapping[str, str] = {
    "Flask": "flask==3.1.3\ngunicorn==27.0.1\n",
    "Django": "django>=5.2,<6\ngunicorn==27.0.1\n",
    "FastAPI": "fastapi\nuvicorn\n",
}

NODE = f"""
const express = require('express');
const log = require('pino')();
const app = express();
app.get('/', (request, response) => response.send('shop'));
app.get('/orders/:number', (request, response) => {{
  log.warn('{LOGGED}');
  response.send('late');
}});
const server = app.listen(8080);
"""
NODE_PACKAGES = {"express": "5.3.0", "pino": "10.4.0"}

GO = f"""
package main

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
)

func main() {{
	stop, err := startTelemetry(context.Background())
	if err != nil {{
		panic(err)
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("/orders/", func(w http.ResponseWriter, r *http.Request) {{
		slog.WarnContext(r.Context(), "{LOGGED}")
	}})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {{}})
	server := http.Server{{Addr: ":8080", Handler: otelhttp.NewHandler(mux, "shop")}}
	done, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	go server.ListenAndServe()
	<-done.Done()
	server.Shutdown(context.Background())
	stop(context.Background())
}}
"""

RAILS = f"""
require "bundler/setup"
require "action_controller/railtie"
Bundler.require

class Shop < Rails::Application
  config.root = __dir__
  config.eager_load = false
  config.hosts.clear
  config.secret_key_base = "not-a-secret"
  config.logger = Logger.new($stdout)
end

class OrdersController < ActionController::Base
  def index = render(plain: "shop")

  def show
    logger.warn("{LOGGED}")
    render(plain: "late")
  end
end

Shop.initialize!
Shop.routes.draw do
  get "/orders/:id", to: "orders#show"
  root to: "orders#index"
end
run Shop
"""
RAILS_GEMS = """
source Gem.sources.first
gem "rails", "~> 7.1"
gem "puma", "~> 6.4"
"""
