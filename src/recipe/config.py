# Jupyter's configuration of a session; `c` is Jupyter's, `script` the number of the
# start script's process.
import atexit, glob, hashlib, json, os, shutil, signal, string, sys, threading, time

import zmq
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager


def read(*path):
    with open(os.path.join(*path)) as file:
        return json.load(file)


environment = read(sys.prefix, ".envspec", "receipt.json")["environment"]


# Each kernel once: those that apply registered for the user's other servers are
# copies of what this environment has itself. Notebooks that name one still start.
class EachOnce(KernelSpecManager):
    def find_kernel_specs(self):
        found = super().find_kernel_specs()
        return {name: path for name, path in found.items() if not self.is_copy(path)}

    def is_copy(self, path):
        try:
            mark = read(path, "kernel.json")["metadata"]["envspec"]
            return mark["environment"] == environment and not path.startswith(sys.prefix + os.sep)
        except (OSError, ValueError, LookupError, TypeError):
            return False


# What is said between the server and a kernel: every user of the node can read the
# ports of the loopback, where Jupyter has it. Kernels that can have sockets in the
# folder of this configuration instead, and of the others those that can encrypt do.
class PrivateChannels(AsyncMappingKernelManager):
    def pre_start_kernel(self, *args, **options):
        manager, *rest = super().pre_start_kernel(*args, **options)
        path = os.path.splitext(manager.connection_file)[0] + "-ipc-5"
        can = manager.kernel_spec.metadata.get("supported_transport", [])
        # The kernel's limit for the path of a socket is 107 bytes.
        if "ipc" in can and len(os.fsencode(path)) <= 107:
            manager.transport = "ipc"
        return manager, *rest


# A page that is logged in stays so when the job goes on elsewhere with its token.
with open(os.environ["JUPYTER_TOKEN_FILE"], "rb") as file:
    c.ServerApp.cookie_secret = hashlib.sha256(b"cookie secret" + file.read()).digest()

c.ServerApp.kernel_spec_manager_class = EachOnce
c.ServerApp.kernel_manager_class = PrivateChannels
if hasattr(AsyncMappingKernelManager, "transport_encryption") and zmq.has("curve"):
    c.MappingKernelManager.transport_encryption = "auto"


# A terminal installs to where notebooks do: the personal libraries, which the server
# itself does not see.
personal = {}
for path in glob.glob(os.path.join(sys.prefix, "share/jupyter/kernels/*/kernel.json")):
    of_kernel = read(path).get("env", {})
    for name in ("PYTHONUSERBASE", "R_LIBS_USER", "JULIA_DEPOT_PATH"):
        if name in of_kernel:
            personal[name] = string.Template(of_kernel[name]).safe_substitute(os.environ)
c.ServerApp.terminado_settings = {
    "shell_command": ["env", "-u", "PYTHONNOUSERSITE"]
    + ["%s=%s" % variable for variable in personal.items()]
    + [os.environ.get("SHELL") or "sh", "-l"]
}


# A server ends with this script, which cleans up after it, however that ended.
def end_with_the_script():
    while os.getppid() == script:
        time.sleep(1)
    atexit.register(shutil.rmtree, os.path.dirname(os.environ["JUPYTER_CONFIG_DIR"]), True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(90)
    os.kill(os.getpid(), signal.SIGKILL)


threading.Thread(target=end_with_the_script, daemon=True).start()
