# Included by the package and by the step that builds it.

"Where Jupyter has a user's data."
function jupyter_data()
    named = get(ENV, "JUPYTER_DATA_DIR", "")
    isempty(named) || return named
    data = get(ENV, "XDG_DATA_HOME", "")
    return joinpath(isempty(data) ? joinpath(homedir(), ".local", "share") : data, "jupyter")
end

quoted(text) = string('"', escape_string(text), '"')
list(values) = string('[', join(map(quoted, values), ", "), ']')
object(pairs) = string('{', join([string(quoted(k), ": ", quoted(v)) for (k, v) in pairs], ", "), '}')

"""
    installkernel(name, options...; julia, specname, displayname, env)

Writes a kernelspec for this Julia among the user's, and gives its folder: `name` in small letters with dashes, and
Julia's minor version.
"""
function installkernel(
    name::AbstractString,
    options::AbstractString...;
    julia::Cmd = `$(joinpath(Sys.BINDIR, "julia"))`,
    specname::AbstractString = replace(lowercase(name), " " => "-") * "-$(VERSION.major).$(VERSION.minor)",
    displayname::AbstractString = "$name $(VERSION.major).$(VERSION.minor)",
    env::Dict{<:AbstractString} = Dict{String,Any}(),
)
    folder = joinpath(jupyter_data(), "kernels", specname)
    rm(folder; force = true, recursive = true)
    mkpath(folder)
    start = ["-e", "import IJulia; IJulia.run_kernel()", "{connection_file}"]
    argv = [julia.exec; "-i"; "--color=yes"; options...; start]
    open(joinpath(folder, "kernel.json"), "w") do file
        print(
            file,
            "{\"argv\": ", list(argv), ", \"display_name\": ", quoted(displayname),
            ", \"language\": \"julia\", \"env\": ", object(env), ", \"interrupt_mode\": \"signal\"}",
        )
    end
    write(joinpath(folder, "logo-svg.svg"), "<svg xmlns=\"http://www.w3.org/2000/svg\"/>\n")
    return folder
end
