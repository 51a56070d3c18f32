-- A new bearer token each time, from the file TOKENS (one a line); each is sent once. The thread stops when they are used up.
-- wrk still waits out its time, so the throughput means nothing then, and the driver drops it; CPU and latencies hold.
dofile(os.getenv("BENCH_LUA") .. "/common.lua")

local tokens = {}
local next_token = 0

function init(arguments)
    for line in io.lines(os.getenv("TOKENS")) do tokens[#tokens + 1] = line end
end

function request()
    next_token = next_token + 1
    if next_token >= #tokens then
        wrk.thread:stop()
        next_token = #tokens
    end
    return wrk.format("GET", nil, { ["Authorization"] = "Bearer " .. tokens[next_token] })
end
