-- Refreshes sessions without end, with the request of fixed.lua, in whose BODY @TOKEN@ stands for the token. The queue starts with the
-- tokens of the file TOKENS (one a line, more than connections) and each answer's refresh token goes to its end. With COLLECT, the access
-- tokens are written to that file, one a line.
dofile(os.getenv("BENCH_LUA") .. "/fixed.lua")

local before, after = wrk.body:match("^(.*)@TOKEN@(.*)$")
local queue, first, last = {}, 1, 0
local collected

function init(arguments)
    for line in io.lines(os.getenv("TOKENS")) do
        last = last + 1
        queue[last] = line
    end
    if os.getenv("COLLECT") then collected = io.open(os.getenv("COLLECT"), "w") end
end

function request()
    local token = queue[first]
    if token == nil then
        wrk.thread:stop()
        token = "none-left"
    else
        queue[first] = nil
        first = first + 1
    end
    return wrk.format(nil, nil, nil, before .. token .. after)
end

function response(status, headers, body)
    local successor = body:match('"refresh_token"%s*:%s*"([^"]+)"')
    if status ~= 200 or successor == nil then return tell_refusal(status, body) end
    last = last + 1
    queue[last] = successor
    if collected then collected:write(body:match('"access_token"%s*:%s*"([^"]+)"'), "\n") end
end
