# A small Jupyter kernel for tests. It is not IJulia: it needs the standard library and libzmq alone,
# knows the messages below and no others, and sends the output of a cell when the cell is done.
using SHA, UUIDs, Dates

const BANNER = "Julia $VERSION in julia-mini-kernel, a small kernel for tests (not IJulia)"
const PROTOCOL = "5.3"
const DELIMITER = Vector{UInt8}("<IDS|MSG>")

# ---- JSON, as much of it as the protocol uses

module Json

function parse(text::AbstractString)
    value, _ = parsevalue(text, 1)
    return value
end

function skip(text, i)
    while i <= lastindex(text) && isspace(text[i])
        i = nextind(text, i)
    end
    return i
end

function parsevalue(text, i)
    i = skip(text, i)
    c = text[i]
    c == '{' && return parseobject(text, i + 1)
    c == '[' && return parsearray(text, i + 1)
    c == '"' && return parsestring(text, i + 1)
    for (word, value) in (("true", true), ("false", false), ("null", nothing))
        startswith(SubString(text, i), word) && return value, i + length(word)
    end
    digits = match(r"[-+0-9.eE]+", text, i).match
    number = occursin(r"[.eE]", digits) ? Base.parse(Float64, digits) : Base.parse(Int, digits)
    return number, i + length(digits)
end

function parseobject(text, i)
    object = Dict{String,Any}()
    i = skip(text, i)
    text[i] == '}' && return object, i + 1
    while true
        key, i = parsevalue(text, i)
        i = skip(text, i)                       # the colon
        object[key], i = parsevalue(text, i + 1)
        i = skip(text, i)
        text[i] == '}' && return object, i + 1
        i += 1                                  # the comma
    end
end

function parsearray(text, i)
    array = Any[]
    i = skip(text, i)
    text[i] == ']' && return array, i + 1
    while true
        value, i = parsevalue(text, i)
        push!(array, value)
        i = skip(text, i)
        text[i] == ']' && return array, i + 1
        i += 1
    end
end

const ESCAPES = Dict('n' => '\n', 't' => '\t', 'r' => '\r', 'b' => '\b', 'f' => '\f')

function parsestring(text, i)
    buffer = IOBuffer()
    while text[i] != '"'
        if text[i] != '\\'
            print(buffer, text[i])
        elseif text[i+1] == 'u'
            code, i = parseescape(text, i)
            print(buffer, Char(code))
        else
            i += 1
            print(buffer, get(ESCAPES, text[i], text[i]))
        end
        i = nextind(text, i)
    end
    return String(take!(buffer)), i + 1
end

"The code point of `\\uXXXX`, or of a surrogate pair of two, and the index of its last digit."
function parseescape(text, i)
    high = Base.parse(UInt32, text[i+2:i+5], base = 16)
    0xd800 <= high < 0xdc00 || return high, i + 5
    low = Base.parse(UInt32, text[i+8:i+11], base = 16)
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00), i + 11
end

write(x::Bool) = string(x)
write(x::Number) = string(x)
write(::Nothing) = "null"
write(x::AbstractVector) = "[" * join(map(write, x), ",") * "]"
write(x::AbstractDict) = "{" * join([write(string(k)) * ":" * write(v) for (k, v) in x], ",") * "}"
function write(x::AbstractString)
    buffer = IOBuffer()
    for c in x
        c == '"' ? print(buffer, "\\\"") :
        c == '\\' ? print(buffer, "\\\\") :
        c < ' ' ? print(buffer, "\\u", string(UInt32(c), base = 16, pad = 4)) : print(buffer, c)
    end
    return "\"" * String(take!(buffer)) * "\""
end

end # module Json

# ---- ZeroMQ through ccall; the numbers are those of zmq.h

const LIBRARIES = joinpath(Sys.BINDIR, "..", "lib")
const ZMQ = joinpath(LIBRARIES, first(filter(name -> startswith(name, "libzmq.so."), readdir(LIBRARIES))))
const REP, ROUTER, PUB = 4, 6, 1
const SNDMORE, POLLIN = 2, 1
const CONTEXT = ccall((:zmq_ctx_new, ZMQ), Ptr{Cvoid}, ())

struct PollItem
    socket::Ptr{Cvoid}
    fd::Cint
    events::Cshort
    revents::Cshort
end

function bind(kind, address)
    socket = ccall((:zmq_socket, ZMQ), Ptr{Cvoid}, (Ptr{Cvoid}, Cint), CONTEXT, kind)
    status = ccall((:zmq_bind, ZMQ), Cint, (Ptr{Cvoid}, Cstring), socket, address)
    status == 0 || error("cannot bind $address")
    return socket
end

function receive(socket)
    parts, message = Vector{UInt8}[], zeros(UInt8, 64)
    while true
        ccall((:zmq_msg_init, ZMQ), Cint, (Ptr{UInt8},), message)
        ccall((:zmq_msg_recv, ZMQ), Cint, (Ptr{UInt8}, Ptr{Cvoid}, Cint), message, socket, 0)
        size = ccall((:zmq_msg_size, ZMQ), Csize_t, (Ptr{UInt8},), message)
        data = ccall((:zmq_msg_data, ZMQ), Ptr{UInt8}, (Ptr{UInt8},), message)
        push!(parts, copy(unsafe_wrap(Array, data, size)))
        more = ccall((:zmq_msg_more, ZMQ), Cint, (Ptr{UInt8},), message)
        ccall((:zmq_msg_close, ZMQ), Cint, (Ptr{UInt8},), message)
        more == 0 && return parts
    end
end

function transmit(socket, parts)
    for (i, part) in enumerate(parts)
        flags = i < length(parts) ? SNDMORE : 0
        ccall((:zmq_send, ZMQ), Cint, (Ptr{Cvoid}, Ptr{UInt8}, Csize_t, Cint), socket, part, sizeof(part), flags)
    end
end

function poll(sockets, milliseconds)
    items = [PollItem(socket, 0, POLLIN, 0) for socket in sockets]
    ccall((:zmq_poll, ZMQ), Cint, (Ptr{PollItem}, Cint, Clong), items, length(items), milliseconds)
    return [item.revents != 0 for item in items]
end

# ---- the protocol of Jupyter's kernels

const CONNECTION = Json.parse(read(ARGS[1], String))
const KEY = Vector{UInt8}(CONNECTION["key"])
const SESSION = string(uuid4())
address(port) = "$(CONNECTION["transport"])://$(CONNECTION["ip"])$(CONNECTION["transport"] == "ipc" ? '-' : ':')$(CONNECTION[port])"

const SHELL, CONTROL = bind(ROUTER, address("shell_port")), bind(ROUTER, address("control_port"))
const STDIN = bind(ROUTER, address("stdin_port"))
const IOPUB, HEARTBEAT = bind(PUB, address("iopub_port")), bind(REP, address("hb_port"))
const COUNT = Ref(0)

sign(parts) = bytes2hex(hmac_sha256(KEY, join(parts)))

function send(socket, identities, kind, content, parent)
    header = Dict("msg_id" => string(uuid4()), "session" => SESSION, "username" => "kernel",
        "date" => string(now(UTC)) * "Z", "msg_type" => kind, "version" => PROTOCOL)
    parts = [Json.write(header), parent, "{}", Json.write(content)]
    transmit(socket, [identities..., DELIMITER, Vector{UInt8}(sign(parts)), map(Vector{UInt8}, parts)...])
end

publish(kind, content, parent) = send(IOPUB, [Vector{UInt8}(kind)], kind, content, parent)

"Answers one message; false after a request to shut down."
function answer(socket)
    message = receive(socket)
    i = findfirst(==(DELIMITER), message)
    identities, frames = message[1:i-1], map(String, message[i+1:i+5])
    signature, parent, _, _, body = frames
    sign(frames[2:5]) == signature || return true
    kind, content = Json.parse(parent)["msg_type"], Json.parse(body)
    publish("status", Dict("execution_state" => "busy"), parent)
    reply = respond(kind, content, parent)
    reply === nothing || send(socket, identities, replace(kind, "_request" => "_reply"), reply, parent)
    publish("status", Dict("execution_state" => "idle"), parent)
    return kind != "shutdown_request"
end

function respond(kind, content, parent)
    ok = Dict{String,Any}("status" => "ok")
    kind == "execute_request" && return execute(content, parent)
    kind == "kernel_info_request" && return merge(ok, Dict("protocol_version" => PROTOCOL,
        "implementation" => "julia-mini-kernel", "implementation_version" => "0.1", "banner" => BANNER,
        "language_info" => Dict("name" => "julia", "version" => string(VERSION),
            "mimetype" => "text/x-julia", "file_extension" => ".jl"), "help_links" => []))
    kind == "shutdown_request" && return merge(ok, Dict("restart" => content["restart"]))
    kind == "comm_info_request" && return merge(ok, Dict("comms" => Dict()))
    kind == "history_request" && return merge(ok, Dict("history" => []))
    kind == "is_complete_request" && return Dict("status" => "unknown")
    kind == "complete_request" && return merge(ok, Dict("matches" => [], "metadata" => Dict(),
        "cursor_start" => content["cursor_pos"], "cursor_end" => content["cursor_pos"]))
    kind == "inspect_request" && return merge(ok, Dict("found" => false, "data" => Dict(), "metadata" => Dict()))
    kind == "interrupt_request" && return ok
    return nothing
end

function execute(content, parent)
    silent = get(content, "silent", false)
    silent || (COUNT[] += 1)
    result, failure = capture(content["code"], parent)
    reply = Dict{String,Any}("execution_count" => COUNT[], "user_expressions" => Dict(), "payload" => [])
    if failure !== nothing
        text = sprint(showerror, failure)
        problem = Dict("ename" => string(typeof(failure)), "evalue" => text, "traceback" => [text])
        publish("error", problem, parent)
        return merge(reply, problem, Dict("status" => "error"))
    end
    if result !== nothing && !silent && !endswith(rstrip(content["code"]), ";")
        data = Dict("text/plain" => repr("text/plain", result))
        publish("execute_result", Dict("execution_count" => COUNT[], "data" => data, "metadata" => Dict()), parent)
    end
    return merge(reply, Dict("status" => "ok"))
end

# Output goes through files: a reading task would be the one that an interrupt hits, and a pipe fills up.
function capture(code, parent)
    files = Dict("stdout" => tempname(), "stderr" => tempname())
    out, err = stdout, stderr
    result, failure = nothing, nothing
    opened = Dict(name => open(path, "w") for (name, path) in files)
    redirect_stdout(opened["stdout"])
    redirect_stderr(opened["stderr"])
    try
        result = reenable_sigint(() -> include_string(Main, code, "In[$(COUNT[])]"))
    catch problem
        failure = problem isa LoadError ? problem.error : problem
    end
    Libc.flush_cstdio()
    redirect_stdout(out)
    redirect_stderr(err)
    for name in ("stdout", "stderr")
        close(opened[name])
        text = read(files[name], String)
        rm(files[name])
        isempty(text) || publish("stream", Dict("name" => name, "text" => text), parent)
    end
    return result, failure
end

# Interrupts are let through in two places: in a cell, which they end, and between two cells, where they
# are for nobody. Anywhere else one would tear a message in half.
function serve()
    while true
        ready = try
            reenable_sigint(() -> poll((CONTROL, SHELL, HEARTBEAT), 500))
        catch problem
            problem isa InterruptException || rethrow()
            continue
        end
        control, shell, heartbeat = ready
        heartbeat && transmit(HEARTBEAT, receive(HEARTBEAT))
        control && !answer(CONTROL) && return
        shell && !answer(SHELL) && return
    end
end

# Whichever task waited last runs the event loop and is hit by an interrupt, even when it has ended. One
# that Julia starts with ends at the first switch of tasks: this is that switch, so a cell is hit instead.
sleep(0.01)
# Without this a script ends at the first SIGINT.
ccall(:jl_exit_on_sigint, Cvoid, (Cint,), 0)
disable_sigint(serve)
