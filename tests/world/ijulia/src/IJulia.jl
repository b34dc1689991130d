"""
A stand-in for IJulia, which no registry that the tests may use carries. Name, UUID, the step that builds it, what
`installkernel` takes and writes and how the kernel is started are as IJulia documents them. The kernel itself is the
small one of `recipes/julia_mini_kernel.jl`.
"""
module IJulia

export installkernel

const BUILT = joinpath(@__DIR__, "..", "deps", "deps.jl")
isfile(BUILT) || error("IJulia is not built; say Pkg.build(\"IJulia\")")
include(BUILT)
include("installkernel.jl")

"Is the kernel of the connection file in ARGS, until it is told to end."
function run_kernel()
    Base.include(@__MODULE__, joinpath(@__DIR__, "kernel.jl"))
    exit()
end

end
