"""An app for the containers of these tests; Python's standard library alone."""

# It says what it is and what it was given, what signals reach it and when, and answers on 8080.
APP = r"""
import json, os, selectors, signal, socket, sys, threading, time

def say(what, **more):
    told = {"what": what, "at": time.monotonic(), **more}
    os.write(1, (json.dumps(told) + "\n").encode())

# Stop signals that it lives through.
staying = int(os.environ.get("STAYS", "0"))

def stop(number, frame):
    global staying
    say("signal", name=signal.Signals(number).name)
    if number in (signal.SIGHUP, signal.SIGUSR1):
        return
    staying -= 1
    if staying < 0:
        time.sleep(float(os.environ.get("STOPPING", "0")))
        say("leaving")
        os._exit(42)

def flood(most):
    # Spans of 1 MB a request; how the collector answered, until it no longer took them.
    text = {"key": "text", "value": {"stringValue": "x" * 1000}}
    ids = {"traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1"}
    span = {**ids, "name": "big", "startTimeUnixNano": "1", "endTimeUnixNano": "2"}
    scope = {"spans": [{**span, "attributes": [text]}] * 1000}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [scope]}]}).encode()
    answers = []
    for _ in range(most):
        head = f"POST /v1/traces HTTP/1.0\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        with socket.create_connection(("localhost", 4318), 10) as far:
            far.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
            answers.append(int(far.recv(65536).split(b" ")[1]))
        if answers[-1] != 200:
            break
    return answers

def serve(connection):
    with connection:
        line = connection.recv(65536).split(b"\r\n")[0].decode()
        path, _, query = line.split(" ")[1].partition("?")
        if path == "/exit":
            say("leaving")
            os._exit(int(query))
        if path == "/flood":
            say("flooded", answers=flood(int(query)))
        if path == "/orphan":
            if os.fork() == 0:
                if os.fork() == 0:
                    time.sleep(0.2)
                os._exit(0)
            os.wait()
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nok")

for name in ("SIGTERM", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGPWR"):
    signal.signal(getattr(signal, name), stop)
listeners = selectors.DefaultSelector()
for port in map(int, os.environ.get("LISTENS", "8080").split()):
    listeners.register(socket.create_server(("0.0.0.0", port)), selectors.EVENT_READ)
say("ready", pid=os.getpid(), argv=sys.argv[1:], env=dict(os.environ), cwd=os.getcwd(),
    uid=os.getuid(), stdin=os.readlink("/proc/self/fd/0"), fds=sorted(os.listdir("/proc/self/fd")))
while True:
    ((key, _), *_) = listeners.select()
    connection, _ = key.fileobj.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
"""
