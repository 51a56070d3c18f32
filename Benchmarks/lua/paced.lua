-- As fixed.lua, with a pause of DELAY milliseconds on average before each request of a connection.
dofile(os.getenv("BENCH_LUA") .. "/fixed.lua")

local mean = tonumber(os.getenv("DELAY"))

function delay()
    return math.random(0, 2 * mean)
end
