-- The same request each time. METHOD, BODY and HEADERS ("name: value" lines) come from the environment.
dofile(os.getenv("BENCH_LUA") .. "/common.lua")

wrk.method = os.getenv("METHOD") or "GET"
wrk.body = os.getenv("BODY")
for name, value in (os.getenv("HEADERS") or ""):gmatch("([^\n:]+): ([^\n]+)") do
    wrk.headers[name] = value
end
