"""Each worker is a copy of this process, made by os.fork()."""

import lab_root

if __name__ == "__main__":
    lab_root.main(lambda: lab_root.Crew("fork", lab_root.fork).run())
