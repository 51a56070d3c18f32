-- The request of fixed.lua with a new DPoP proof each time, from the file PROOFS (one a line); each is sent once. The thread stops when
-- they are used up, as that of pool.lua does; what is still sent until it has stopped takes the last few, which are kept for that.
dofile(os.getenv("BENCH_LUA") .. "/fixed.lua")

local kept = 512
local proofs = {}
local next_proof = 0

function init(arguments)
    for line in io.lines(os.getenv("PROOFS")) do proofs[#proofs + 1] = line end
end

function request()
    next_proof = next_proof + 1
    if next_proof >= #proofs - kept then wrk.thread:stop() end
    wrk.headers["DPoP"] = proofs[next_proof] or "none-left"
    return wrk.format()
end
