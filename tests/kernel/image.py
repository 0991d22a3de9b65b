"""The root file system of the virtual machine: files of this machine's packages, as an initramfs.

Packages are taken with all that they depend on, as they are installed here; nothing is downloaded.
The archive is cpio's "newc", which the kernel reads; all in it belongs to root.
"""
import os
import re
import stat
import subprocess

DROPPED = re.compile(r"/usr/share/(doc|man|locale|info|lintian|bug)/|.*/__pycache__(/|$)")
EXTRA = ("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/ld.so.cache", "/etc/ld.so.conf",
         "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/login.defs", "/usr/lib/locale/C.utf8")
LINKS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
EMPTY = ("/proc", "/sys", "/dev", "/tmp", "/run", "/root", "/mnt", "/var/tmp", "/var/lib")


def installed():
    """package -> its dependencies (as dpkg has them); name provided -> package; essential ones."""
    fields = "${Package}\t${Status}\t${Pre-Depends}, ${Depends}\t${Provides}\t${Essential}\n"
    text = subprocess.run(["dpkg-query", "-W", "-f", fields], capture_output=True, text=True,
                          check=True).stdout
    depends, provider, essential = {}, {}, []
    for line in text.splitlines():
        package, status, needs, provides, important = line.split("\t")
        if not status.endswith(" installed"):
            continue
        depends[package] = needs
        provider[package] = package
        if important == "yes":
            essential.append(package)
        for name in provides.split(","):
            provider.setdefault(name.split("(")[0].strip(), package)
    return depends, provider, essential


def closure(wanted):
    """These packages, the essential ones, and what they depend on; and those not installed."""
    depends, provider, essential = installed()
    found, missing, queue = set(), [], []
    for package in [*wanted, *essential]:
        if package in provider:
            queue.append(provider[package])
        else:
            missing.append(package)
    while queue:
        package = queue.pop()
        if package in found:
            continue
        found.add(package)
        for alternatives in depends[package].split(","):
            names = (re.split(r"[ (:]", name.strip())[0] for name in alternatives.split("|"))
            queue += [provider[name] for name in names if name in provider][:1]
    return sorted(found), missing


def files_of(packages):
    text = subprocess.run(["dpkg-query", "-L", *packages], capture_output=True, text=True,
                          check=False).stdout
    return {line for line in text.splitlines() if line.startswith("/") and not DROPPED.match(line)}


def libraries(programs):
    """What the dynamic linker takes for these programs."""
    text = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    return set(re.findall(r"=> (/\S+)", text))


class Archive:
    def __init__(self, path):
        self.file = open(path, "wb")  # pylint: disable=consider-using-with
        self.seen = {"/"}
        self.inode = 0

    def record(self, path, mode, mtime=0, data=b"", device=(0, 0)):
        """One entry, with its parents before it. A path is written once."""
        if path in self.seen:
            return
        self.parents(path)
        self.seen.add(path)
        self.inode += 1
        name = path.lstrip("/").encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, int(mtime), len(data), 0, 0, *device, len(name), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields)
        self.file.write(header + name + bytes(-(len(header) + len(name)) % 4))
        self.file.write(data)
        self.file.write(bytes(-len(data) % 4))

    def parents(self, path):
        parent = os.path.dirname(path)
        if parent not in self.seen:
            self.record(parent, stat.S_IFDIR | 0o755)

    def add(self, path, name=None):
        """A file, link or directory of this machine, under the same name or another."""
        directory, base = os.path.split(path)
        name = name or os.path.join(os.path.realpath(directory), base)
        try:
            info = os.lstat(path)
        except FileNotFoundError:
            return
        if stat.S_ISLNK(info.st_mode):
            self.record(name, info.st_mode, info.st_mtime, os.readlink(path).encode())
        elif stat.S_ISREG(info.st_mode):
            with open(path, "rb") as file:
                self.record(name, info.st_mode, info.st_mtime, file.read())
        elif stat.S_ISDIR(info.st_mode):
            self.record(name, info.st_mode, info.st_mtime)

    def tree(self, path, drop=lambda path: False):
        self.add(path)
        for directory, names, files in os.walk(path):
            names[:] = [n for n in names if not drop(os.path.join(directory, n))]
            for entry in sorted(names) + sorted(files):
                if not drop(os.path.join(directory, entry)):
                    self.add(os.path.join(directory, entry))

    def text(self, path, text, mode=0o644):
        self.record(path, stat.S_IFREG | mode, data=text.encode())

    def close(self):
        self.record("/TRAILER!!!", 0)
        self.file.write(bytes(-self.file.tell() % 512))
        self.file.close()


def begin(path, packages):
    """An archive with these packages' files in it; (archive, packages that are not installed)."""
    found, missing = closure(packages)
    archive = Archive(path)
    for link in LINKS:
        if os.path.islink(link):
            archive.add(link)
    for directory in EMPTY:
        archive.record(directory, stat.S_IFDIR | (0o1777 if directory.endswith("tmp") else 0o755))
    archive.record("/dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.record("/dev/null", stat.S_IFCHR | 0o666, device=(1, 3))
    for file in sorted(files_of(found)):
        archive.add(file)
    for extra in EXTRA:
        archive.tree(extra)
    return archive, missing
