# Pkg runs this when it adds the package.
include(joinpath(@__DIR__, "..", "src", "installkernel.jl"))

haskey(ENV, "IJULIA_NODEFAULTKERNEL") || installkernel("Julia", "--project=@.")

# For tests: what the package was built with.
const NAMES = ("IJULIA_NODEFAULTKERNEL", "JULIA_SSL_CA_ROOTS_PATH", "SSL_CERT_FILE")
open(joinpath(@__DIR__, "deps.jl"), "w") do file
    println(file, "const BUILT_WITH = ", Dict{String,String}(n => ENV[n] for n in NAMES if haskey(ENV, n)))
end
