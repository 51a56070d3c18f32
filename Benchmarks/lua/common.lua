-- What every script shares: the run's figures as one line of JSON, for the driver to read.
-- wrk calls done() once, after all threads have stopped. Latencies are in microseconds.

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        'RESULT {"requests": %d, "seconds": %.6f, "p50_us": %.1f, "p99_us": %.1f, "bytes": %d, '
            .. '"status_errors": %d, "socket_errors": %d, "timeouts": %d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99), summary.bytes,
        errors.status, errors.connect + errors.read + errors.write, errors.timeout
    ))
end

-- Writes the first refused answer of a thread to standard error, so that a failed row says why.
local told = false
function tell_refusal(status, body)
    if told then return end
    told = true
    io.stderr:write("first refusal: ", tostring(status), " ", tostring(body), "\n")
end
