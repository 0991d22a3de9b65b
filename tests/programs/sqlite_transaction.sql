-- A transaction that is open when the program is saved, and committed after the restart.
-- needs: sqlite3
-- run: sqlite3 -batch test.db
-- stdin: {src}
-- watch: progress
-- progress: 2
-- answer: ok 600000 180000300000 -300000
PRAGMA cache_size = 200;
CREATE TABLE t (n INTEGER PRIMARY KEY, words TEXT);
BEGIN;
INSERT INTO t VALUES (-300000, 'rolled back by nobody');
SELECT writefile('progress', printf('begun%s', char(10)));
INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 150000)
    SELECT n, hex(n * n) FROM c;
SELECT writefile('progress', printf('begun%s1%s', char(10), char(10)));
INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 150001 UNION ALL SELECT n + 1 FROM c WHERE n < 300000)
    SELECT n, hex(n * n) FROM c;
SELECT writefile('progress', printf('begun%s1%s2%s', char(10), char(10), char(10)));
INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 300001 UNION ALL SELECT n + 1 FROM c WHERE n < 450000)
    SELECT n, hex(n * n) FROM c;
SELECT writefile('progress', printf('begun%s1%s2%s3%s', char(10), char(10), char(10), char(10)));
INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 450001 UNION ALL SELECT n + 1 FROM c WHERE n < 600000)
    SELECT n, hex(n * n) FROM c;
SELECT writefile('progress', printf('begun%s1%s2%s3%s4%s', char(10), char(10), char(10), char(10),
    char(10)));
COMMIT;
SELECT (SELECT integrity_check FROM pragma_integrity_check) || ' ' || (count(*) - 1) || ' ' ||
    (sum(n) + 300000) || ' ' || min(n) FROM t;
