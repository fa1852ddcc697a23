//! The parent-child tree over one snapshot's processes, safe against cycles (a torn read of two ppids can make one).

use crate::snapshot::ProcessSample;

/// Children of every process, by index into the snapshot's processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Parent's index; `None` for roots (ppid 0, an unseen parent, or a cut cycle).
    pub parent: Vec<Option<u32>>,
    /// First child's position in `order` and number of children.
    child_range: Vec<(u32, u32)>,
    children: Vec<u32>,
    roots: Vec<u32>,
}

impl Tree {
    /// Builds from processes sorted by pid.
    #[must_use]
    pub fn build(processes: &[ProcessSample]) -> Self {
        // Neighbours often have the same parent.
        let mut last = (-1, None);
        Self::from_parents(
            processes
                .iter()
                .map(|p| {
                    if last.0 != p.ppid {
                        last = (p.ppid, processes.binary_search_by_key(&p.ppid, |q| q.key.pid).ok());
                    }
                    let index = last.1.filter(|_| p.ppid != p.key.pid)?;
                    u32::try_from(index).ok()
                })
                .collect(),
        )
    }

    /// Builds from given parents; cycles are cut at their lowest index.
    #[must_use]
    pub fn from_parents(mut parent: Vec<Option<u32>>) -> Self {
        cut_cycles(&mut parent);
        let n = parent.len();
        let mut counts = vec![0u32; n];
        for p in parent.iter().flatten() {
            counts[*p as usize] += 1;
        }
        let mut child_range = Vec::with_capacity(n);
        let mut at = 0;
        for c in &counts {
            child_range.push((at, 0));
            at += c;
        }
        let mut children = vec![0u32; at as usize];
        let mut roots = Vec::new();
        for (i, p) in (0u32..).zip(&parent) {
            match p {
                Some(p) => {
                    let (first, len) = &mut child_range[*p as usize];
                    children[(*first + *len) as usize] = i;
                    *len += 1;
                }
                None => roots.push(i),
            }
        }
        Self { parent, child_range, children, roots }
    }

    /// Indices of processes without a parent here.
    #[must_use]
    pub fn roots(&self) -> &[u32] {
        &self.roots
    }

    /// Children of the process at `index`, in pid order.
    #[must_use]
    pub fn children(&self, index: u32) -> &[u32] {
        let (first, len) = self.child_range[index as usize];
        &self.children[first as usize..(first + len) as usize]
    }

    /// The process at `index` and all below it.
    #[must_use]
    pub fn subtree(&self, index: u32) -> Vec<u32> {
        let mut all = vec![index];
        let mut next = 0;
        while next < all.len() {
            all.extend_from_slice(self.children(all[next]));
            next += 1;
        }
        all
    }
}

fn cut_cycles(parent: &mut [Option<u32>]) {
    // 0 = not seen, 1 = on the path being walked, 2 = known to reach a root.
    let mut mark = vec![0u8; parent.len()];
    let mut path = Vec::new();
    for start in 0..parent.len() {
        let mut at = start;
        path.clear();
        loop {
            match mark[at] {
                2 => break,
                1 => {
                    parent[at] = None;
                    break;
                }
                _ => {}
            }
            mark[at] = 1;
            path.push(at);
            match parent[at] {
                Some(p) => at = p as usize,
                None => break,
            }
        }
        for &i in &path {
            mark[i] = 2;
        }
    }
}
